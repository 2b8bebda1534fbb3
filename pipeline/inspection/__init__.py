"""Describes a dataset in numbers and pictures, and compares two.

May import everything above in `pipeline`.
Offers `statistics.summary`, `preview.contact_sheet`, `report.splits`, `compare.difference`, `outliers.find`.
"""
