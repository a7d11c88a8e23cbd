"""Facts in, signed bytes out: CloudEvents, their schemas, the seal (JWE), the signature (JWS) and the hash chain.

Both sides of MQTT use this package: the station to make events and to check documents and receipts, the agency
the other way round. It touches no file, no socket and no clock.
"""
