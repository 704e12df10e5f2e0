"""Formulas as MathML, which browsers draw themselves: no script, and nothing to fetch. docutils brings the translation."""

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def write(translator, node, as_block):
    """One formula; what can't be translated is a warning, and shown as it was written."""
    try:
        text = latex2mathml.tex2mathml(node.astext(), as_block=as_block)
    except MathError as err:
        logger.warning("the formula %r can't be shown: %s", node.astext(), err, location=node)
        text = f"<code>{translator.encode(node.astext())}</code>"
    translator.body.append(text)
    raise nodes.SkipNode


def inline(translator, node):
    """``:math:`` within a line."""
    write(translator, node, as_block=False)


def block(translator, node):
    """A formula on its own."""
    write(translator, node, as_block=True)


def setup(app):
    """Make it known under the name "mathml"."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
