"""Makes the dashboards and alert rules that are shipped beside: `python -m orobserve_exporters.grafana.source`.

What a panel shows is said once, with a query per language; what it looks like in Grafana's JSON is the official SDK's
business, and only `render` knows it. Needs `pip install 'orobserve[grafana]'`; who uses the dashboards does not.
"""
