"""What a learner wrote runs no script in the marker's Formgrader.

nbgrader puts answers and outputs into its page as they are. HTML in one of them could otherwise
give its author full marks, or run code with the rights of the marker, whose login the page has.
A content security policy with a nonce lets only the scripts of the page's own head run.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

# `strict-dynamic` lets MathJax load its parts; no `unsafe-eval`, as MathJax 2 would then run
# configuration found in an answer.
POLICY = (
    "script-src 'nonce-{nonce}' 'strict-dynamic'; "
    "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'none'"
)
# What nbconvert's configuration block says, in the form that MathJax reads without `eval`.
MATHJAX = """{
  TeX: {equationNumbers: {autoNumber: "AMS", useLabelIds: true}},
  tex2jax: {
    inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], displayMath: [["$$", "$$"], ["\\\\[", "\\\\]"]],
    processEscapes: true, processEnvironments: true
  },
  displayAlign: "center", messageStyle: "none", CommonHTML: {linebreaks: {automatic: true}}
}"""
_CONFIG_BLOCK = re.compile(r'<script type="text/x-mathjax-config">.*?</script>', re.S)


def guarded(head: str, resources: Any) -> str:
    """`head` of Formgrader's page with the policy, its own scripts marked as allowed.

    The nonce is left in ``resources["syslab_nonce"]`` for scripts further down.
    """
    nonce = resources["syslab_nonce"] = secrets.token_urlsafe(16)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(nonce=nonce)}">'
    own = _CONFIG_BLOCK.sub("", head).replace("<script", f'<script nonce="{nonce}"')
    first = f'{policy}\n<script nonce="{nonce}">window.MathJax = {MATHJAX};</script>'
    return own.replace("<head>", f"<head>\n{first}", 1)
