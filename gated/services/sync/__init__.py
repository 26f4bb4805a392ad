"""Gates and their hub: who belongs to it, what goes up, what comes down."""
