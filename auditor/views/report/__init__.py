"""The HTML report: one page about one scan, for those who run the network.

`aggregate` boils records down to what the page shows, in bounded memory; `compare` holds them
against an earlier scan; `maps` cuts the IPv4 space into maps; `ranking` explains the
findings in the catalogue's words; `encode` packs the data of maps and tables; `page` puts
all of it into the template in `page/`, under a Content-Security-Policy that allows nothing
but the page's own script and style.
"""
