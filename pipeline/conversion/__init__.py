"""Converts a corpus into a dataset directory, shard by shard, and resumes where it stopped.

May import `pipeline.corpora` and above.
Offers `job.convert`, `config.ConvertConfig`, `dry_run.report`; beyond one machine `array.Part` and `dask.Cluster`.
"""
