"""OVA and OVF: DMTF's DSP0243, in the manner of VMware's exports; and files that are compressed."""

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
import zipfile

from case import MIB, case, cut

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACES = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"'
)
DISK_FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"


def ovf(href="disk.vmdk", size=None, capacity=4 * MIB, before="", more=""):
    size = f' ovf:size="{size}"' if size is not None else ""
    return (
        f'{HEAD}{before}<Envelope {NAMESPACES}>\n'
        f'<References><File ovf:id="f1" ovf:href="{href}"{size}/></References>\n'
        f'<DiskSection><Info>disks</Info><Disk ovf:capacity="{capacity}" ovf:diskId="d1" ovf:fileRef="f1" '
        f'ovf:format="{DISK_FORMAT}"/></DiskSection>\n'
        '<VirtualSystem ovf:id="web"><Info>a machine</Info><VirtualHardwareSection><Info>hardware</Info>\n'
        "<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>"
        "<rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>\n"
        "<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType><rasd:Address>0</rasd:Address></Item>\n"
        "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType><rasd:Parent>2</rasd:Parent>"
        "<rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d1</rasd:HostResource></Item>\n"
        f"</VirtualHardwareSection></VirtualSystem>{more}</Envelope>\n"
    ).encode()


def vmdk(place):
    path = place.made("disk.vmdk", "vmdk", "subformat=streamOptimized")
    data = path.read_bytes()
    path.unlink()
    return data


def manifest(members, algorithm="sha256"):
    lines = (f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\n" for name, data in members)
    return "".join(lines).encode()


def tar(place, members, name="web.ova", change=None, form=tarfile.USTAR_FORMAT):
    path = place.path(name)
    with tarfile.open(path, "w", format=form) as archive:
        for member, data in members:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            if change:
                change(info)
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def members(place, **changes):
    disk = vmdk(place)
    return [("web.ovf", ovf(size=len(disk), **changes)), ("disk.vmdk", disk)]


def package(place, **changes):
    return tar(place, members(place, **changes))


CONVERT = {"verb": "convert"}

for label, form in {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}.items():
    case("T46", name=f"ova-{label}", **CONVERT)(lambda place, form=form: tar(place, members(place), form=form))

for label in ("sha1", "sha256", "sha512"):

    def listed(place, label=label):
        found = members(place)
        return tar(place, [*found, ("web.mf", manifest(found, label))])

    case("T42", name=f"ova-with-{label}", **CONVERT)(listed)

for label, name in {
    "dots": "../disk.vmdk",
    "absolute": "/tmp/disk.vmdk",
    "folder": "images/disk.vmdk",
}.items():

    def named(place, name=name):
        found = members(place)
        return tar(place, [found[0], (name, found[1][1])])

    case("T39", "UnsafeArchive", name=f"ova-member-{label}", **CONVERT)(named)

for label, kind in {
    "symbolic-link": tarfile.SYMTYPE,
    "hard-link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
}.items():

    def typed(place, kind=kind):
        def change(info):
            if info.name == "disk.vmdk":
                info.type, info.size, info.linkname = kind, 0, str(place.canary)

        return tar(place, members(place), change=change)

    case("T40", "UnsafeArchive", name=f"ova-member-that-is-a-{label}", **CONVERT)(typed)


@case("T39", "UnsafeArchive", **CONVERT)
def ova_set_uid(place):
    def change(info):
        info.mode = 0o4755

    return tar(place, members(place), change=change)


@case("T39", "UnsafeArchive", **CONVERT)
def ova_of_20000_members(place):
    return tar(place, [*members(place), *((f"m{i}", b"") for i in range(20000))])


@case("T41", "UnsafeArchive", **CONVERT)
def ova_with_twins(place):
    found = members(place)
    return tar(place, [*found, found[1]])


@case("T45", "UnsafeArchive", **CONVERT)
def ova_with_two_ovfs(place):
    found = members(place)
    return tar(place, [*found, ("other.ovf", found[0][1])])


@case("T45", "UnsafeArchive", "UnknownFormat", **CONVERT)
def ova_without_an_ovf(place):
    return tar(place, members(place)[1:])


@case("T42", "ManifestMismatch", **CONVERT)
def ova_with_a_wrong_digest(place):
    found = members(place)
    listed = manifest(found).replace(b"= ", b"= 00", 1)
    listed = b"\n".join(line[: line.index(b"= ") + 66] if line else line for line in listed.split(b"\n"))
    return tar(place, [*found, ("web.mf", listed)])


@case("T42", "ManifestMismatch", **CONVERT)
def ova_whose_manifest_omits_the_disk(place):
    found = members(place)
    return tar(place, [*found, ("web.mf", manifest(found[:1]))])


@case("T42", "ManifestMismatch", **CONVERT)
def ova_whose_manifest_lists_what_is_not_there(place):
    found = members(place)
    return tar(place, [*found, ("web.mf", manifest([*found, ("gone.vmdk", b"")]))])


@case("T42", "ManifestMismatch", **CONVERT)
def ova_whose_manifest_is_no_manifest(place):
    return tar(place, [*members(place), ("web.mf", b"all is well\n")])


@case("T43", "Truncated", "Damaged", "InvalidFormatSize", "FormatMismatch", **CONVERT)
def ova_with_a_cut_disk(place):
    disk = vmdk(place)[:-80000]
    return tar(place, [("web.ovf", ovf(size=len(disk))), ("disk.vmdk", disk)])


@case("T43", "FormatMismatch", "InvalidFormatSize", **CONVERT)
def ova_with_another_capacity(place):
    return package(place, capacity=8 * MIB)


@case("T43", "Truncated", "UnsafeArchive", "Damaged", **CONVERT)
def ova_cut(place):
    return cut(package(place), -20000)


for label, href in {
    "dots": "../disk.vmdk",
    "absolute": "/etc/passwd",
    "file": "file:///etc/passwd",
    "http": "http://127.0.0.1/disk.vmdk",
    "json": "json:{}",
    "nbd": "nbd://127.0.0.1/x",
    "encoded": "%2e%2e/disk.vmdk",
    "itself": "web.ovf",
    "missing": "gone.vmdk",
}.items():
    codes = ("ExternalExtent", "UnsafeArchive")
    case("T44", *codes, name=f"ova-href-{label}", **CONVERT)(lambda place, href=href: package(place, href=href))

ENTITY = '<!DOCTYPE x [<!ENTITY e SYSTEM "{}">]>\n'
LAUGHS = "<!DOCTYPE x [<!ENTITY a '" + "ha" * 50 + "'>" + "".join(
    f"<!ENTITY {b} '{('&' + a + ';') * 20}'>" for a, b in zip("abcdefgh", "bcdefghi")
) + "]>\n"
for label, before in {
    "file-entity": ENTITY.format("file:///etc/passwd"),
    "http-entity": ENTITY.format("http://127.0.0.1/x"),
    "billion-laughs": LAUGHS,
}.items():
    case("T45", "UnsafeArchive", name=f"ova-{label}", **CONVERT)(lambda place, before=before: package(place, before=before))


@case("T45", "UnsafeArchive", "Damaged", **CONVERT)
def ova_nested_200000_deep(place):
    return package(place, more="<a>" * 200000 + "</a>" * 200000)


@case("T45", "UnsafeArchive", **CONVERT)
def ova_with_an_ovf_of_50_mb(place):
    return package(place, more="<!--" + "x" * (50 * MIB) + "-->")


# Compressed files.


def packed(place, name, data):
    place.content = place.disk()
    return place.write(name, data)


def inner(place):
    path = place.made("inner", "qcow2")
    data = path.read_bytes()
    path.unlink()
    return data


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress, "zstd": zstd}
for label, pack in PACKERS.items():
    case("T47", name=f"packed-{label}", **CONVERT)(lambda p, pack=pack: packed(p, "disk", pack(inner(p))))
    case("T47", "Truncated", "Damaged", name=f"packed-{label}-cut", **CONVERT)(
        lambda p, pack=pack: packed(p, "disk", pack(inner(p))[:-100])
    )
    case("T47", "Damaged", "UnsafeArchive", name=f"packed-{label}-and-more", **CONVERT)(
        lambda p, pack=pack: packed(p, "disk", pack(inner(p)) + b"junk" * 100)
    )
    case("T47", "NestedFormat", name=f"packed-{label}-twice", **CONVERT)(
        lambda p, pack=pack: packed(p, "disk", pack(pack(inner(p))))
    )
    case("T47", "RatioExceeded", name=f"packed-{label}-bomb", **CONVERT)(
        lambda p, pack=pack: packed(p, "disk", pack(b"x" * (400 * MIB)))
    )


@case("T47", **CONVERT)
def packed_gzip_of_two_members(place):
    data = inner(place)
    return packed(place, "disk.gz", gzip.compress(data[:100000]) + gzip.compress(data[100000:]))


@case("T47", "ChecksumMismatch", "Damaged", **CONVERT)
def packed_gzip_with_a_wrong_checksum(place):
    data = bytearray(gzip.compress(inner(place)))
    data[-8] ^= 1
    return packed(place, "disk.gz", bytes(data))


def zipped(place, *names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, inner(place))
    return packed(place, "disk.zip", out.getvalue())


@case("T47", **CONVERT)
def packed_zip(place):
    return zipped(place, "disk.qcow2")


@case("T47", "UnsafeArchive", "UnsupportedFeature", **CONVERT)
def packed_zip_of_two(place):
    return zipped(place, "a.qcow2", "b.qcow2")


@case("T47", **CONVERT)
def packed_ova(place):
    path = package(place)
    data = path.read_bytes()
    path.unlink()
    return place.write("web.ova.gz", gzip.compress(data))
