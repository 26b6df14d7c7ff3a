"""What a month costs: Google's dated list prices, what a payment of each flow uses, and the sum over the specs.

`prices` and `traffic` read the two tables beside them, `estimate` multiplies; the verb `sluice cost` shows it. Prices
before discounts and taxes, in USD, of one region. What Google does not bill for is not here; neither is the exchange's
part, nor gas.
"""
