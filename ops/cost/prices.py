"""The price table: dated, with the page that each price was read from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

TABLE = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """What so many units cost a month, and how many of them are free."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    price: float = Field(ge=0)
    per: float = Field(default=1, gt=0)
    free: float = Field(default=0, ge=0)
    source: str = Field(pattern=r"^https://")

    def of(self, units: float) -> float:
        """USD for so many units of one project's month."""
        return max(0.0, units - self.free) * self.price / self.per


class Prices(BaseModel):
    """All prices, of one region and day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: datetime.date
    region: str
    items: Mapping[str, Price]

    def __getitem__(self, item: str) -> Price:
        return self.items[item]


@cache
def read() -> Prices:
    """The table."""
    return Prices.model_validate(yaml.safe_load(TABLE.read_text()))
