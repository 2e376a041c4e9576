"""Tars: their members, and what of a damaged one can still be read."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from .locations import Source
from .members import member_name


class _Header(tarfile.TarInfo):
    """A tar's header. tarfile does not report damaged and missing ones; the archive is told of them here."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        assert isinstance(archive, Tar)
        try:
            found = super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.no_header(type(error).__name__)
            raise
        archive.header()
        return found


class Tar(tarfile.TarFile):
    """A tar, or several one behind the other: the mark of the end is not the end, if another header follows.

    Attributes:
        problems: what of it holds no member, and what is missing.
    """

    tarinfo = _Header

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.problems: list[str] = []
        self._lost_from: int | None = None
        self._marked = False
        keywords["ignore_zeros"] = True
        super().__init__(*arguments, **keywords)

    def no_header(self, kind: str) -> None:
        """There is none where the next one should be."""
        if kind == "EOFHeaderError":  # zeros: the mark of the end
            self._found_again()
            self._marked = True
        elif kind == "EmptyHeaderError":  # the file ends
            if self._lost_from is None and not self._marked:
                self.problems.append(f"the file ends at byte {self.offset} without the mark of the end")
            self._found_again()
        elif self._lost_from is None:
            self._lost_from, self._marked = self.offset, False

    def header(self) -> None:
        """There is one."""
        self._found_again()
        self._marked = False

    def _found_again(self) -> None:
        if self._lost_from is not None:
            self.problems.append(f"bytes {self._lost_from} to {self.offset} hold no header of a member, and are lost")
            self._lost_from = None

    def regular(self) -> Iterator[tarfile.TarInfo]:
        """Its members that are files; `problems` is whole afterwards."""
        try:
            while (member := self.next()) is not None:
                cast(Any, self).members.clear()  # else it keeps all of them
                # A link is another name of a member that is there anyway.
                if member.isreg():
                    yield member
        except tarfile.TarError as error:
            self.problems.append(f"{error}, at byte {self.offset}; what follows is lost")
        if self._lost_from is not None:  # a header that is cut
            self.problems.append(f"what begins at byte {self._lost_from} is not a header of a member, and is lost")


def tar_members(path: str, file: BinaryIO) -> Iterator[Source]:
    """The members of a tar that is not compressed, each with the place where it begins.

    Raises:
        ReadError: after the last one, where something of the tar is damaged or missing.
    """
    with Tar.open(fileobj=file, mode="r:") as archive:
        for member in archive.regular():
            problem = "is a sparse file, which is not read; pack it anew" if member.issparse() else None
            yield Source(path, member_name(member.name), member.offset_data, member.size, problem=problem)
        if archive.problems:
            raise tarfile.ReadError("; ".join(archive.problems))
