"""The figures: what is compared shares its axes, and a color means one thing throughout."""
