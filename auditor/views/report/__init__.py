"""The HTML report: one page about one scan, for those who run the network.

`aggregate` reduces records to what the page shows, in bounded memory; `compare` compares them
with an earlier scan; `maps` divides the IPv4 space into maps; `ranking` explains the findings
by the catalogue; `encode` packs the data of maps and tables; `page` puts
all of it into the template in `page/`, under a Content-Security-Policy that allows nothing
but the page's own script and style.
"""
