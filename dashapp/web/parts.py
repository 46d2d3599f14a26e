"""Parts that several pieces of the page are made of."""

from __future__ import annotations

from typing import Any

from dash import html


def button(children: Any, action: str, *, title: str | None = None, **values: Any) -> html.Button:
    """A button that the browser turns into an action (assets/action.mjs); `values` are its parameters."""
    data = {f"data-{name}": value for name, value in {"action": action, **values}.items()}
    return html.Button(children, title=title, className=f"act act-{action}", **data, **label(title))


def pop(name: str, summary: Any, menu: Any, *, title: str, icon: bool = True) -> html.Details:
    """A menu that opens below its button; the browser closes it again (assets/menu.mjs)."""
    return html.Details(
        id=name,
        className="pop",
        children=[
            html.Summary(summary, className=f"icon icon-{name}" if icon else None, title=title, **label(title)),
            html.Div(menu, id=f"{name}-menu", className="menu"),
        ],
    )


def skeleton() -> html.Div:
    """The shape of a chart, until there is one."""
    hidden: dict[str, Any] = {"aria-hidden": "true"}
    return html.Div(className="skeleton", **hidden)


def label(text: str | None) -> dict[str, Any]:
    """The attribute that names an element to those who cannot see it."""
    return {"aria-label": text} if text else {}
