# SPDX-License-Identifier: Apache-2.0
"""What DumpLogSegments prints, as batches and records."""
from __future__ import annotations

import dataclasses
import re
from typing import Optional

_BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) baseSequence: (-?\d+) lastSequence: -?\d+ "
                    r"producerId: (-?\d+) producerEpoch: (-?\d+) partitionLeaderEpoch: (-?\d+) isTransactional: (\w+) "
                    r"isControl: (\w+) deleteHorizonMs: \S+ position: (\d+) (\w+): (-?\d+) size: (\d+) magic: (\d+) "
                    r"compresscodec: (\w+) crc: (\d+) isvalid: (\w+)$")
_RECORD = re.compile(r"^\| offset: (\d+) (\w+): (-?\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: (-?\d+) "
                     r"headerKeys: \[(.*?)\](?: endTxnMarker: (\w+) coordinatorEpoch: -?\d+)?"
                     r"(?: key: ([0-9a-f]*))?(?: payload: ([0-9a-f]*))?$", re.DOTALL)
_GAPS = re.compile(r"\nNon-consecutive offsets in [^\n]*(?:\n  -?\d+ is followed by \d+)+\n")


@dataclasses.dataclass(frozen=True)
class DumpedRecord:
    """header_names as one text, comma between them; their values are not shown. marker: COMMIT or ABORT in control
    batches.
    """
    offset: int
    timestamp: int
    key: Optional[bytes]
    value: Optional[bytes]
    header_names: str
    marker: Optional[str]


@dataclasses.dataclass(frozen=True)
class Batch:
    """count and records: what is left, for the broker keeps a producer's last batch when compaction has emptied it."""
    base_offset: int
    last_offset: int
    count: int
    base_sequence: int
    producer: int
    epoch: int
    leader_epoch: int
    transactional: bool
    control: bool
    position: int
    timestamp_type: str
    timestamp: int
    size: int
    magic: int
    codec: str
    crc: int
    valid: bool
    records: list[DumpedRecord] = dataclasses.field(compare=False)


def _batch(match: re.Match) -> Batch:
    found = match.groups()
    return Batch(*map(int, found[:7]), found[7] == "true", found[8] == "true", int(found[9]), found[10], int(found[11]),
                 int(found[12]), int(found[13]), found[14].lower(), int(found[15]), found[16] == "true", [])


def _bytes(size: str, text: Optional[str]) -> Optional[bytes]:
    return None if size == "-1" else bytes.fromhex(text or "")


def _record(match: re.Match) -> DumpedRecord:
    offset, _, timestamp, key_size, value_size, _, names, marker, key, value = match.groups()
    if marker is not None:
        return DumpedRecord(int(offset), int(timestamp), None, None, names, marker)
    return DumpedRecord(int(offset), int(timestamp), _bytes(key_size, key), _bytes(value_size, value), names, None)


def parse(text: str) -> list[Batch]:
    """What is no batch, no record, no heading and no list of gaps fails: nothing that Kafka says is overlooked."""
    batches: list[Batch] = []
    text = _GAPS.sub("\n", text)
    for line in re.split(r"\n(?=\| offset: |baseOffset: |$)", text):
        batch, record = _BATCH.match(line), _RECORD.match(line)
        if batch:
            batches.append(_batch(batch))
        elif record:
            batches[-1].records.append(_record(record))
        elif line.strip() and not re.match(r"Dumping \S+\n(Log s|S)tarting offset: \d+$", line.strip()):
            raise ValueError(f"DumpLogSegments said: {line[:500]}")
    return batches
