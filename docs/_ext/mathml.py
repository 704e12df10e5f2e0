"""Formulas as MathML, which browsers draw themselves: no script, and nothing to fetch. docutils brings the translation."""

from docutils import nodes
from docutils.utils.math import latex2mathml


def inline(translator, node):
    """``:math:`` within a line."""
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block(translator, node):
    """A formula on its own."""
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode


def setup(app):
    """Make it known under the name "mathml"."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
