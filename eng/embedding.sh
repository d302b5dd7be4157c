#!/usr/bin/env bash
# Packs Rynxs.Ledger and its verifier, builds examples/embedding against the packages as a program outside this repository would, and runs it.
# Needs a release build of both. Prints the sample's last line; exit 0 only if that says the ledger is valid.
set -euo pipefail
root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
out="$root/artifacts/embedding"
rm -rf "$out"
mkdir -p "$out/sample"
for project in Rynxs.Ledger Rynxs.Ledger.Verifier; do
  dotnet pack "$root/src/$project" -c Release --no-build --nologo -v q -o "$out/packages"
done
version=$(basename "$out"/packages/Rynxs.Ledger.Verifier.*.nupkg .nupkg)
version=${version#Rynxs.Ledger.Verifier.}
cp "$root/examples/embedding/Program.cs" "$out/sample/"
# Empty ones, so that nothing of this repository's build reaches the sample.
for file in Directory.Build.props Directory.Build.targets Directory.Packages.props; do echo '<Project />' >"$out/sample/$file"; done
cat >"$out/sample/Embedding.csproj" <<XML
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <ImplicitUsings>enable</ImplicitUsings>
    <Nullable>enable</Nullable>
    <RestorePackagesPath>$out/cache</RestorePackagesPath>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="Rynxs.Ledger" Version="$version" />
    <PackageReference Include="Rynxs.Ledger.Verifier" Version="$version" />
  </ItemGroup>
</Project>
XML
dotnet build "$out/sample" -c Release --nologo -v q --source "$out/packages" -o "$out/bin" >"$out/build.log" 2>&1 || { cat "$out/build.log" >&2 && exit 1; }
last=$("$out/bin/Embedding" "$out/ledger" | tail -n 1)
printf '%s\n' "$last"
[[ $last == valid,* ]]
