{{ dbt.date_spine('day', "cast('2023-01-01' as date)", "cast('2036-01-01' as date)") }}
