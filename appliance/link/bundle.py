"""How much of the queue goes into one message (contract 6)."""

MAX_BUNDLE_EVENTS = 32
MAX_BUNDLE_BYTES = 32 * 1024


def first_bundle(events: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the first events that fit into one message and follow each other.

    Args:
        events: sequence number and JWS of each, in order.
    """
    size_bytes, bundle = -1, list[tuple[int, str]]()
    for sequence, jws in events:
        size_bytes += len(jws) + 1
        if bundle and (size_bytes > MAX_BUNDLE_BYTES or sequence != bundle[-1][0] + 1):
            break
        bundle.append((sequence, jws))
    return bundle
