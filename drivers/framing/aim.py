"""AIM symbology identifiers: the `]Q1` that a scanner can send before a code (ISO/IEC 15424)."""

AIM_BYTES = 3
_MODIFIERS = frozenset(b"0123456789ABCDEF")


def split_aim(data: bytes) -> tuple[str, bytes]:
    """Split a code into its AIM identifier without `]` (`Q1`; "" where there is none) and the rest.

    Safe without being configured: `]` is in no alphabet that tickets are written in.
    """
    head = data[:AIM_BYTES]
    if len(head) == AIM_BYTES and head.startswith(b"]") and head[1:2].isalpha() and head[2] in _MODIFIERS:
        return head[1:].decode("ascii"), data[AIM_BYTES:]
    return "", data
