"""What the program does for people and clients; the only door from api, ui and cli to storage."""
