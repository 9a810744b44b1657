"""Says where each parameter of each stack comes from, and so in which order stacks are deployed; a pure function.

What a parameter takes, in this order: dataops.yml (the stack's or the environment's `parameters`), an artifact, the
same-named output of another stack, `EnvironmentName`, the template's default. Reading files is left to others.
"""

from __future__ import annotations

import graphlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from deployer.config import CONFIG_FILE, Environment, Project
from deployer.reader import nearest
from deployer.templates import Parameter, Template, shown

ENVIRONMENT_NAME = "EnvironmentName"


@dataclass(frozen=True)
class Given:
    """dataops.yml gives the value; `where` is the place there."""

    value: str = field(repr=False)
    where: str


@dataclass(frozen=True)
class FromArtifact:
    """An artifact of the release: its key or its text."""

    name: str


@dataclass(frozen=True)
class FromOutput:
    """The output of another stack, under the name that its template gives it."""

    stack: str
    output: str


@dataclass(frozen=True)
class BuiltIn:
    """A value that every environment has."""

    value: str


@dataclass(frozen=True)
class TemplateDefault:
    """The template's own default."""


Source = Given | FromArtifact | FromOutput | BuiltIn | TemplateDefault


@dataclass(frozen=True)
class Problem:
    """Something that cannot be deployed as it is written."""

    file: str
    line: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class StackWiring:
    """A stack and the source of each of its parameters; `stack_name_suffix` ends its name in CloudFormation."""

    name: str
    stack_name_suffix: str
    template: Template
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class Wiring:
    """All stacks of an environment. With problems, `sources` lacks what could not be fed."""

    stacks: Mapping[str, StackWiring]
    problems: tuple[Problem, ...] = ()

    def parents(self, stack: str) -> frozenset[str]:
        """The stacks whose outputs a stack takes."""
        sources = self.stacks[stack].sources.values()
        return frozenset(source.stack for source in sources if isinstance(source, FromOutput))

    def order(self) -> tuple[tuple[str, ...], ...]:
        """Batches of stacks: each needs only stacks of earlier batches. Raises graphlib.CycleError."""
        sorter = graphlib.TopologicalSorter({stack: self.parents(stack) for stack in self.stacks})
        sorter.prepare()
        batches = []
        while ready := sorter.get_ready():
            batches.append(tuple(stack for stack in self.stacks if stack in ready))
            sorter.done(*ready)
        return tuple(batches)


@dataclass(frozen=True)
class _Offer:
    stack: str
    output: str
    where: Problem


def wire(project: Project, templates: Mapping[str, Template], environment: Environment) -> Wiring:
    """Wire every stack of a project for an environment; `templates` are by the stack's name."""
    offers = _offers(project, templates)
    stacks: dict[str, StackWiring] = {}
    problems: list[Problem] = []
    for name in project.stacks:
        sources: dict[str, Source] = {}
        for parameter in templates[name].parameters.values():
            found = _source(project, environment, templates, name, parameter, offers)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                sources[parameter.name] = found
        stacks[name] = StackWiring(name, name, templates[name], sources)
    problems += _unknown_names(project, templates, environment)
    problems += _loops(Wiring(stacks))
    return Wiring(stacks, tuple(dict.fromkeys(problems)))


def _offers(project: Project, templates: Mapping[str, Template]) -> Mapping[str, list[_Offer]]:
    """Who gives each output, after the renames of dataops.yml."""
    offers: dict[str, list[_Offer]] = defaultdict(list)
    for name, spec in project.stacks.items():
        for output in templates[name].outputs.values():
            where = Problem(shown(templates[name].path), output.line, "")
            offers[spec.outputs.get(output.name, output.name)].append(_Offer(name, output.name, where))
    return offers


def _source(
    project: Project,
    environment: Environment,
    templates: Mapping[str, Template],
    stack: str,
    parameter: Parameter,
    offers: Mapping[str, list[_Offer]],
) -> Source | Problem:
    spec, name = project.stacks[stack], parameter.name

    def problem(message: str, hint: str | None = None) -> Problem:
        return Problem(shown(templates[stack].path), parameter.line, f"stack {stack}: {message}", hint)

    if name in spec.parameters and (name in environment.parameters or name in environment.unset):
        places = f"{_where(spec.places, name)} and {_where(environment.places, name)}"
        return problem(f"parameter '{name}' is given twice: {places}", "keep one of them")
    if name in spec.parameters:
        return Given(spec.parameters[name], _where(spec.places, name))
    if name in environment.parameters:
        return Given(environment.parameters[name], _where(environment.places, name))
    if name in environment.unset:
        variable = environment.unset[name]
        hint = f"export {variable}=..."
        return problem(f"parameter '{name}' takes the variable {variable}, which is not set", hint)
    others = [offer for offer in offers.get(name, ()) if offer.stack != stack]
    givers = [f"artifact {name} of {CONFIG_FILE}"] * (name in project.artifacts)
    givers += [f"stack {offer.stack} ({offer.where.file}:{offer.where.line})" for offer in others]
    if len(givers) > 1:
        hint = "rename an output under `outputs` of its stack in dataops.yml"
        return problem(f"parameter '{name}' has {len(givers)} sources: {', '.join(givers)}", hint)
    if name in project.artifacts:
        return FromArtifact(name)
    if others:
        return FromOutput(others[0].stack, others[0].output)
    if name == ENVIRONMENT_NAME:
        return BuiltIn(environment.name)
    if parameter.default is not None:
        return TemplateDefault()
    return problem(f"nothing feeds the parameter '{name}'", _unfed_hint(name, project, environment, offers))


def _where(places: Mapping[str, str], name: str) -> str:
    return places.get(name, CONFIG_FILE)


def _unfed_hint(name: str, project: Project, environment: Environment, offers: Mapping[str, list[_Offer]]) -> str:
    meant = nearest(name, [*offers, *project.artifacts])
    if meant:
        return f"did you mean the output or artifact '{meant}'?"
    return f"give it under `parameters` of environment {environment.name}, or a Default in the template"


def _place(where: str, message: str, hint: str | None = None) -> Problem:
    file, _, rest = where.partition(":")
    line = rest.split(":")[0]
    return Problem(file, int(line) if line.isdigit() else 1, message, hint)


def _unknown_names(project: Project, templates: Mapping[str, Template], environment: Environment) -> Iterator[Problem]:
    """Values and new names for what no template has: typing errors that would do nothing in silence."""
    everywhere = {name for template in templates.values() for name in template.parameters}
    for name in [*environment.parameters, *environment.unset]:
        if name not in everywhere:
            message = f"environment {environment.name}: no template has a parameter '{name}'"
            yield _place(_where(environment.places, name), message, _meant(name, everywhere))
    for stack, spec in project.stacks.items():
        template = templates[stack]
        for name in spec.parameters:
            if name not in template.parameters:
                message = f"stack {stack}: its template has no parameter '{name}'"
                yield _place(_where(spec.places, name), message, _meant(name, template.parameters))
        for name in spec.outputs:
            if name not in template.outputs:
                message = f"stack {stack}: its template has no output '{name}'"
                yield _place(_where(spec.places, name), message, _meant(name, template.outputs))
    for name, artifact in project.artifacts.items():
        if name not in everywhere:
            yield _place(
                artifact.where, f"no template has a parameter '{name}' for this artifact", _meant(name, everywhere)
            )


def _meant(name: str, known: Mapping[str, object] | set[str]) -> str | None:
    found = nearest(name, known)
    return f"did you mean '{found}'?" if found else None


def _loops(wiring: Wiring) -> Iterator[Problem]:
    try:
        wiring.order()
    except graphlib.CycleError as error:
        loop: list[str] = error.args[1]
        steps = []
        for giver, taker in pairwise(loop):
            sources = wiring.stacks[taker].sources.items()
            taken = [name for name, source in sources if isinstance(source, FromOutput) and source.stack == giver]
            steps.append(f"{taker} takes {', '.join(taken)} of {giver}")
        stack = wiring.stacks[loop[-1]]
        line = min(parameter.line for parameter in stack.template.parameters.values())
        hint = "move a resource to another stack, or give one of the values in dataops.yml"
        yield Problem(shown(stack.template.path), line, f"stacks need each other: {'; '.join(steps)}", hint)
