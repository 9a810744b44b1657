"""The library of the Glue job: pure DataFrame functions, run manifests and atomic publishing."""
