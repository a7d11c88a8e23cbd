"""``card-station doctor``: looks at every real part of this machine and says how each is mended.

``part`` is what a part is and the way through all of them; ``machine`` is the list of this machine's parts; the other
files know one thing each. Nothing here changes anything on the machine, and a running station is not disturbed: no
pin is taken, no card is reset, and the broker is greeted with TLS only, never with the station's MQTT client id."""
