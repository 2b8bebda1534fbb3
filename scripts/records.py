"""Inspects, indexes and upgrades dataset directories.

python -m scripts.records stats --data=DIR                   counts, lengths, speakers, vocabulary, bytes
python -m scripts.records verify --data=DIR                  every record against manifest and index
python -m scripts.records show --data=DIR --id=s1/bbaf2n     one record as text
python -m scripts.records preview --data=DIR                 DIR-preview.png: lip frames with the words under them
python -m scripts.records report --data=DIR                  DIR-report.html: plots, rejects, outliers, lip frames
python -m scripts.records diff A B                           settings and clips that differ
python -m scripts.records index --data=DIR                   makes a dataset of shards that another program wrote
python -m scripts.records upgrade --data=DIR                 brings a dataset of an older version up to this one

diff compares settings, index, and the checksum of every record as written; verify finds later damage. It opens --clips
of the records that differ and prints by how much. Like diff(1) it exits with 0 if it found no difference, else with 1.

index wants TFRecords named NAME-SPLIT.tfrecord-00000-of-00001 that hold a tf.train.Example a clip, with the keys of
pipeline/schema.py, and reads each once. upgrade needs no videos: it works in place, leaves raw shards as they are, and
joins images of single frames to tall ones. If it is stopped, run it again.
"""

from scripts.common import cli, records_flags

AUGMENT = records_flags.define()


def main(argv: list[str]) -> None:
    command, places = records_flags.check(argv)
    how = {"augmented": records_flags.augmentation(AUGMENT)} if command == "preview" else {}
    with cli.loading():
        from scripts.programs import records
    records.run(command, places, **how)


if __name__ == "__main__":
    cli.run(main, groups=records_flags.GROUPS)
