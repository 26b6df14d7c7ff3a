"""The entry: takes the processor's notice and records the payment."""
