"""Google's regions, each with the range that a network in auto mode has there, and their zones.

Source: https://cloud.google.com/vpc/docs/subnets#ip-ranges (auto mode), https://cloud.google.com/compute/docs/regions-zones.
"""

#: The second byte of the region's 10.x.0.0/20.
AUTO = {
    "africa-south1": 218,
    "asia-east1": 140,
    "asia-east2": 170,
    "asia-northeast1": 146,
    "asia-northeast2": 174,
    "asia-northeast3": 178,
    "asia-south1": 160,
    "asia-south2": 190,
    "asia-southeast1": 148,
    "asia-southeast2": 184,
    "australia-southeast1": 152,
    "australia-southeast2": 192,
    "europe-central2": 186,
    "europe-north1": 166,
    "europe-southwest1": 204,
    "europe-west1": 132,
    "europe-west10": 214,
    "europe-west12": 210,
    "europe-west2": 154,
    "europe-west3": 156,
    "europe-west4": 164,
    "europe-west6": 172,
    "europe-west8": 198,
    "europe-west9": 200,
    "me-central1": 212,
    "me-central2": 216,
    "me-west1": 208,
    "northamerica-northeast1": 162,
    "northamerica-northeast2": 188,
    "southamerica-east1": 158,
    "southamerica-west1": 194,
    "us-central1": 128,
    "us-east1": 142,
    "us-east4": 150,
    "us-east5": 202,
    "us-south1": 206,
    "us-west1": 138,
    "us-west2": 168,
    "us-west3": 180,
    "us-west4": 182,
}

#: Zones whose letters are not a, b and c.
_LETTERS = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}


def zones(region: str) -> list[str]:
    """The zones of a region."""
    return [f"{region}-{letter}" for letter in _LETTERS.get(region, "abc")]


def auto_range(region: str) -> str:
    """The range of an auto mode network's subnetwork there."""
    return f"10.{AUTO[region]}.0.0/20"
