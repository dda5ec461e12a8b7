"""Packages: manifest, sources, install store, receipts, permissions."""

from stellatune_plugins.package.authority import Authority, Denial, OnDenied, SidecarGrant
from stellatune_plugins.package.caps import DEFAULT_CAPS, Caps
from stellatune_plugins.package.denials import DenialLog
from stellatune_plugins.package.folder_source import FolderSource
from stellatune_plugins.package.granting import Grants
from stellatune_plugins.package.grants import Grant, GrantKind, asked_grants, effective_grants, is_asked, parse_grant
from stellatune_plugins.package.hosts import canonical_host, host_text, parse_host
from stellatune_plugins.package.installed import FileProblem, InstalledPlugin, VerifyProblem
from stellatune_plugins.package.ledger import AuditAction, AuditEntry
from stellatune_plugins.package.manifest import (
    AbilitySpec,
    ComponentSpec,
    DeadlineTier,
    DecoderRules,
    FileAccess,
    FilePermission,
    HostPermission,
    Manifest,
    Permissions,
    RawManifest,
    SidecarNeed,
    SidecarPermission,
    SidecarRestart,
    SidecarScope,
    SidecarSpec,
    SidecarStart,
    TransportKind,
    TransportOption,
)
from stellatune_plugins.package.manifest_reader import (
    is_plugin_id,
    parse_manifest,
    read_raw_manifest,
    validate_manifest,
)
from stellatune_plugins.package.opening import open_source
from stellatune_plugins.package.pending import PackageState, PendingRemoval, PendingUninstall
from stellatune_plugins.package.receipt import FileRecord, Receipt
from stellatune_plugins.package.shelf import DamagedPackage, StoreScan
from stellatune_plugins.package.sources import Entry, PackageSource
from stellatune_plugins.package.staging import Progress, ProgressHook
from stellatune_plugins.package.store import Acceptance, InstallStore, PackageInfo, Validator
from stellatune_plugins.package.versions import compare_versions
from stellatune_plugins.package.widening import Widening
from stellatune_plugins.package.zip_source import ZipSource

__all__ = [
    "DEFAULT_CAPS",
    "AbilitySpec",
    "Acceptance",
    "AuditAction",
    "AuditEntry",
    "Authority",
    "Caps",
    "ComponentSpec",
    "DamagedPackage",
    "DeadlineTier",
    "DecoderRules",
    "Denial",
    "DenialLog",
    "Entry",
    "FileAccess",
    "FilePermission",
    "FileProblem",
    "FileRecord",
    "FolderSource",
    "Grant",
    "GrantKind",
    "Grants",
    "HostPermission",
    "InstallStore",
    "InstalledPlugin",
    "Manifest",
    "OnDenied",
    "PackageInfo",
    "PackageSource",
    "PackageState",
    "PendingRemoval",
    "PendingUninstall",
    "Permissions",
    "Progress",
    "ProgressHook",
    "RawManifest",
    "Receipt",
    "SidecarGrant",
    "SidecarNeed",
    "SidecarPermission",
    "SidecarRestart",
    "SidecarScope",
    "SidecarSpec",
    "SidecarStart",
    "StoreScan",
    "TransportKind",
    "TransportOption",
    "Validator",
    "VerifyProblem",
    "Widening",
    "ZipSource",
    "asked_grants",
    "canonical_host",
    "compare_versions",
    "effective_grants",
    "host_text",
    "is_asked",
    "is_plugin_id",
    "open_source",
    "parse_grant",
    "parse_host",
    "parse_manifest",
    "read_raw_manifest",
    "validate_manifest",
]
