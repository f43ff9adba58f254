"""regdata: from a restained tissue section to labelled cells, a classifier and a score.

>>> import regdata
>>> regdata.build("he.svs", "if.ome.tif", "cells.h5", markers="CD3")  # doctest: +SKIP
>>> regdata.fit_classifier("cells.h5", "classifier.pt")  # doctest: +SKIP
>>> regdata.evaluate("classifier.pt", set_="nucls:DIR")  # doctest: +SKIP

`build` makes labelled cells of an H&E and an IF slide, `relabel` changes their labels,
`fit_classifier` trains on them, `evaluate` and `validate` score against people, `export` writes
them for other tools. `segment` finds nuclei alone, `register` the map between two slides.
`read_dataset`, `open_slide` and `load_model` open files of cells, slides and networks. Functions
take paths as text or `Path`, have the options of the commands of the same name, and raise
`regdata.errors.RegdataError`. Parts are in folders: `regdata.cellvit`, `regdata.slides`, ...
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
