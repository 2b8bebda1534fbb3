"""Stores crops and labels as TFRecord shards in a dataset directory, and opens and verifies them.

May import `pipeline.mouth` and above.
Offers `directory.open_dataset`, `tfrecord.ShardWriter`, `example.to_example`, `storage`, `identity`.
"""
