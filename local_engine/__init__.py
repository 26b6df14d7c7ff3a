"""Runs the Pulumi program in process and applies it to the local cloud by REST."""
