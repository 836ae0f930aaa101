"""The same work by hand: SQL that an engineer would write for these logs and this organisation alone.

`load.sql` is the limit of loading: DuckDB reads the files into one typed table. The other files, run in order in one
connection, make the public tables. They are not compiled from the models. What the package reads from seeds is
written into them: which metadata keys name a user or a team, what the quota rules count. They read the loaded rows,
the seeds of the organisation, and two small tables of a built database, which name models and list prices.
"""
