"""What queries do in turn, and what is done beside the thread of the source job."""
