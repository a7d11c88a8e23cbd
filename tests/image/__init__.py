"""The reader code against the true USB driver (libccid) in an emulated machine; runs in ``scripts/test --image``."""
