"""Acts at the door over the network, alarms, the installer's door test and acceptance sheet."""
