"""Typed models of the YAML specs, their loader, graph and checks. Knows neither Pulumi nor Google."""
