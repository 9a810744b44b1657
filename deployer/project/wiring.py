"""Determines where each parameter of each stack comes from, and so the order of deployment; a pure function.

What a parameter takes, in this order: dataops.yml (the stack's or the environment's `parameters`), an artifact, the
same-named output of another stack, what every environment has, the template's default. Reading files is left to others.
"""

from __future__ import annotations

import graphlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from deployer.errors import Location
from deployer.nearest import nearest
from deployer.project.config import CONFIG_FILE, Environment, Project
from deployer.project.finding import Finding, Level
from deployer.project.templates import Parameter, Template

ENVIRONMENT_NAME = "EnvironmentName"
ROUTE_CADENCES = "RouteCadences"


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
class StackWiring:
    """A stack and the source of each of its parameters; `stack_name_suffix` ends its name in CloudFormation."""

    name: str
    stack_name_suffix: str
    template: Template
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class Wiring:
    """All stacks of an environment. With findings, `sources` lacks what could not be fed: it cannot be deployed."""

    stacks: Mapping[str, StackWiring]
    findings: tuple[Finding, ...] = ()

    def parents(self, stack: str) -> frozenset[str]:
        """Return the stacks whose outputs a stack takes."""
        sources = self.stacks[stack].sources.values()
        return frozenset(source.stack for source in sources if isinstance(source, FromOutput))

    def order(self) -> tuple[tuple[str, ...], ...]:
        """Return batches of stacks, each of which needs only stacks of earlier batches. Raise graphlib.CycleError."""
        sorter = graphlib.TopologicalSorter({stack: self.parents(stack) for stack in self.stacks})
        sorter.prepare()
        batches = []
        while ready := sorter.get_ready():
            batches.append(tuple(stack for stack in self.stacks if stack in ready))
            sorter.done(*ready)
        return tuple(batches)


def wire(project: Project, templates: Mapping[str, Template], environment: Environment) -> Wiring:
    """Wire every stack of a project for an environment; `templates` are by the stack's name."""
    return _Wirer(project, templates, environment).wire()


def built_in_values(environment: Environment) -> Mapping[str, str]:
    """Return the parameters that every environment defines: its name, and its routes' cadences as ``s3=24,sftp=6``."""
    cadences = sorted(environment.expected_every_hours.items())
    return {
        ENVIRONMENT_NAME: environment.name,
        ROUTE_CADENCES: ",".join(f"{route}={hours}" for route, hours in cadences),
    }


@dataclass(frozen=True)
class _Offer:
    """An output under the name by which others know it."""

    stack: str
    output: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"stack {self.stack} ({self.file}:{self.line})"


class _Wirer:
    def __init__(self, project: Project, templates: Mapping[str, Template], environment: Environment) -> None:
        self.project, self.templates, self.environment = project, templates, environment
        self.offers: dict[str, list[_Offer]] = defaultdict(list)
        for stack, spec in project.stacks.items():
            for output in templates[stack].outputs.values():
                offer = _Offer(stack, output.name, templates[stack].file, output.line)
                self.offers[spec.outputs.get(output.name, output.name)].append(offer)

    def wire(self) -> Wiring:
        findings = list(self._clashes())
        stacks: dict[str, StackWiring] = {}
        for stack in self.project.stacks:
            template = self.templates[stack]
            found = {parameter.name: self._source(stack, parameter) for parameter in template.parameters.values()}
            findings += [each for each in found.values() if isinstance(each, Finding)]
            sources = {name: each for name, each in found.items() if not isinstance(each, Finding | None)}
            stacks[stack] = StackWiring(stack, stack, template, sources)
        findings += self._unknown_names()
        findings += _loops(Wiring(stacks))
        return Wiring(stacks, tuple(dict.fromkeys(findings)))

    def _source(self, stack: str, parameter: Parameter) -> Source | Finding | None:
        """Return the source; None when the name clashes, which is reported once and not for each parameter."""
        name = parameter.name
        given = self._given(stack, parameter)
        if given is not None:
            return given
        others = [offer for offer in self.offers.get(name, ()) if offer.stack != stack]
        if len(others) + (name in self.project.artifacts) > 1:
            return None
        if name in self.project.artifacts:
            return FromArtifact(name)
        if others:
            return FromOutput(others[0].stack, others[0].output)
        if name in (built_in := built_in_values(self.environment)):
            return BuiltIn(built_in[name])
        if parameter.default is not None:
            return TemplateDefault()
        return self._finding(stack, parameter, "unfed", f"the parameter '{name}' has no value", self._unfed_hint(name))

    def _given(self, stack: str, parameter: Parameter) -> Given | Finding | None:
        spec, environment, name = self.project.stacks[stack], self.environment, parameter.name
        for_all = name in environment.parameters or name in environment.unset
        if name in spec.parameters and for_all:
            places = f"{_where(spec.places, name)} and {_where(environment.places, name)}"
            message = f"parameter '{name}' is given twice: {places}"
            return self._finding(stack, parameter, "given-twice", message, "keep one of them")
        if name in spec.parameters:
            return Given(spec.parameters[name], _where(spec.places, name))
        if name in environment.unset:
            variable = environment.unset[name]
            message = f"parameter '{name}' takes the variable {variable}, which is not set"
            return self._finding(stack, parameter, "unset-variable", message, f"export {variable}=...")
        return Given(environment.parameters[name], _where(environment.places, name)) if for_all else None

    def _finding(self, stack: str, parameter: Parameter, rule: str, message: str, hint: str) -> Finding:
        # A variable that is not set here may be set where the environment is deployed.
        level = Level.WARNING if rule == "unset-variable" else Level.ERROR
        place = Location(self.templates[stack].file, parameter.line)
        return Finding.at(place, level, rule, f"stack {stack}: {message}", hint)

    def _unfed_hint(self, name: str) -> str:
        meant = nearest(name, {*self.offers, *self.project.artifacts} - {name})
        if meant:
            return f"did you mean the output or artifact '{meant}'?"
        return f"give it under `parameters` of environment {self.environment.name}, or a Default in the template"

    def _clashes(self) -> Iterator[Finding]:
        """Yield outputs with the same name, whether used or not: the environment's outputs must be unambiguous."""
        for name, offers in self.offers.items():
            givers = [str(offer) for offer in offers]
            if name in self.project.artifacts:
                givers.append(f"the artifact ({self.project.artifacts[name].where})")
            if len(givers) > 1:
                message = f"'{name}' has {len(givers)} sources: {', '.join(givers)}"
                hint = "rename an output under `outputs` of its stack in dataops.yml"
                yield Finding.at(Location(offers[-1].file, offers[-1].line), Level.ERROR, "clash", message, hint)

    def _unknown_names(self) -> Iterator[Finding]:
        """Yield values and new names that no template uses: typing errors that would have no effect, without a message."""
        project, environment = self.project, self.environment
        everywhere = {name for template in self.templates.values() for name in template.parameters}
        for name in [*environment.parameters, *environment.unset]:
            if name not in everywhere:
                message = f"environment {environment.name}: no template has a parameter '{name}'"
                yield _unknown(_where(environment.places, name), message, name, everywhere)
        for name, artifact in project.artifacts.items():
            if name not in everywhere:
                message = f"no template has a parameter '{name}' for this artifact"
                yield _unknown(artifact.where, message, name, everywhere)
        for stack, spec in project.stacks.items():
            for kind, names, known in (
                ("parameter", spec.parameters, self.templates[stack].parameters),
                ("output", spec.outputs, self.templates[stack].outputs),
            ):
                for name in names:
                    if name not in known:
                        message = f"stack {stack}: its template has no {kind} '{name}'"
                        yield _unknown(_where(spec.places, name), message, name, known)


def _where(places: Mapping[str, str], name: str) -> str:
    return places.get(name, f"{CONFIG_FILE}:1:1")


def _unknown(where: str, message: str, name: str, known: Iterable[str]) -> Finding:
    file, line, _ = where.split(":")
    meant = nearest(name, known)
    hint = f"did you mean '{meant}'?" if meant else None
    return Finding.at(Location(file, int(line)), Level.ERROR, "unknown-name", message, hint)


def _loops(wiring: Wiring) -> Iterator[Finding]:
    try:
        wiring.order()
    except graphlib.CycleError as error:
        loop: list[str] = error.args[1]
        steps = [
            f"{taker} takes {', '.join(_taken(wiring, taker, giver))} of {giver}" for giver, taker in pairwise(loop)
        ]
        first = wiring.stacks[loop[1]]
        line = first.template.parameters[_taken(wiring, loop[1], loop[0])[0]].line
        hint = "move a resource to another stack, or give one of the values in dataops.yml"
        message = f"stacks depend on each other in a loop: {'; '.join(steps)}"
        yield Finding.at(Location(first.template.file, line), Level.ERROR, "cycle", message, hint)


def _taken(wiring: Wiring, taker: str, giver: str) -> list[str]:
    sources = wiring.stacks[taker].sources.items()
    return [name for name, source in sources if isinstance(source, FromOutput) and source.stack == giver]
