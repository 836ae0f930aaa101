"""What BI tools read: LookML, Tableau data sources, a Grafana dashboard and a glossary, all from dbt_project/bi.yml."""
