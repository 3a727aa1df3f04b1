"""Groups of subscriptions that ask alike, each kind with an index of its own."""
