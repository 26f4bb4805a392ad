"""The threads of the running gate; they live here and only here."""
