"""The figures: what is compared shares its axes, and a colour means one thing throughout."""
