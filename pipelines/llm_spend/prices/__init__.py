"""The price seeds: generated from a pinned, public data set; see dbt_project/seeds/prices/README.md."""
