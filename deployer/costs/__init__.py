"""What the lakehouse costs: AWS's prices in one file, and a month's bill from them and this repository's own figures.

It may read its own files. It may not call AWS: prices are a table, volumes are given.
"""
