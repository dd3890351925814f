"""The page on which `dvc plots` draws, with Vega in it, so that it opens without network: .dvc/plots.html.

python -m fashion_cnn.experiments.plots, by `make env`. Where it was not run, DVC's own page loads Vega from the web.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
from pathlib import Path
from typing import Final

import vl_convert

from fashion_cnn.localcloud import connection

PAGE: Final = Path(".dvc/plots.html")  # git-ignored, as .dvc/config.local
VEGA_LITE: Final = "5.21"  # the last of the version that DVC's templates are written in
# Source of the placeholders: dvc.org/doc/command-reference/plots/show, and dvc_render.html.
TEMPLATE: Final = """<!DOCTYPE html>
<html>
<head>
    {{refresh_tag}}
    <meta charset="utf-8">
    <title>DVC Plot</title>
    <script>{vega}</script>
</head>
<body>
    {{plot_divs}}
</body>
</html>
"""


def main() -> None:
    """Write the page, and name it in .dvc/config.local.

    Raises:
        UserError: DVC can't write its configuration, which is as it was then.
    """
    vega = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    partial = PAGE.with_suffix(".partial")
    partial.write_text(TEMPLATE.format(vega=vega.replace("</script", "<\\/script")), encoding="utf-8")
    connection.configure(["config", "--local", "plots.html_template", PAGE.name])  # relative to .dvc
    partial.replace(PAGE)


if __name__ == "__main__":
    process.run(main)
