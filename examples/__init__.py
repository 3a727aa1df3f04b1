"""Programs that show the product."""
