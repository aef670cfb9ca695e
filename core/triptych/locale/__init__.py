"""What the hosts say, in other languages: gettext's domain `triptych`, read by `client.speak`."""
