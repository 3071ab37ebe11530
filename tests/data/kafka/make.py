# SPDX-License-Identifier: Apache-2.0
"""Makes the golden segments beside this file, with a running broker of Kafka and its own classes.

    make.py CLASSES BOOTSTRAP LOG_FOLDER

CLASSES is the folder of Kafka's jars, BOOTSTRAP the broker, LOG_FOLDER its log.dirs. For each topic
TOPIC.log is the broker's segment, and TOPIC.dump what Kafka's own reader finds in it. kcat writes
one topic, as librdkafka compresses in its own ways. Topics of an earlier run must not be there.
"""
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
TOPICS = ["none", "gzip", "snappy", "lz4", "zstd", "rdkafka", "transactions", "append"]


def java(classes, *args):
    command = ["java", "-cp", f"{classes}/*", str(HERE / "Golden.java"), *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def kcat(bootstrap, codec):
    lines = "".join(f"key{i}:the value number {i} by {codec}\n" for i in range(20))
    command = ["kcat", "-P", "-b", bootstrap, "-t", "golden-rdkafka", "-z", codec, "-K:", "-X", "linger.ms=500",
               "-H", "name=value"]
    subprocess.run(command, input=lines, check=True, text=True)


def main(classes, bootstrap, log_folder):
    java(classes, "write", bootstrap)
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        kcat(bootstrap, codec)
    for topic in TOPICS:
        segment = HERE / f"{topic}.log"
        shutil.copy(f"{log_folder}/golden-{topic}-0/00000000000000000000.log", segment)
        (HERE / f"{topic}.dump").write_text(java(classes, "dump", str(segment)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
