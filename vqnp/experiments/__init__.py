"""The paper's figures: what is run, what is claimed of it, and the page that shows both."""
