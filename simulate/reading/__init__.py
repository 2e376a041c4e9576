"""Reading recordings: where they lie, how they are unpacked, the messages and the books in them. It knows no bet."""
