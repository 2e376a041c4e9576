"""What travels between mailboxes of different processes: a header, and a letter."""

from __future__ import annotations

import struct

import msgspec

from ..letters import Letter
from ..wire import decoded

#: A letter; one that another thread has sent aside, without a place in the sequence.
LETTER, ASIDE = 1, 2
#: The sender is here, and where it gets credit: its address. Its sequence has come this far, letters left out included.
GREETING, POSITION = 3, 4
#: The receiver has dealt with everything up to this place in the sequence.
CREDIT = 5
#: The receiver is to give credit once it has dealt with what came up to here.
ASKING = 0x80

#: Kind, incarnation of the sender, place in the sequence of its letters to this receiver, length of its name. The name
#: follows, then what the kind says.
HEAD = struct.Struct("<BIQB")

_DECODER: msgspec.msgpack.Decoder[Letter] = msgspec.msgpack.Decoder(Letter)


def decode(data: bytes | memoryview) -> Letter:
    """A letter of another process.

    Raises:
        MessageError: it is not one.
    """
    return decoded(_DECODER, data, "a letter")
