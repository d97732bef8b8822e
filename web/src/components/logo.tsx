/** A millstone: a ring with furrows. */

export function Logo({ className }: { className?: string }) {
  return (
    <svg
      viewBox="0 0 24 24"
      className={className}
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
    >
      <circle cx="12" cy="12" r="9.5" />
      <circle cx="12" cy="12" r="2.5" fill="currentColor" stroke="none" />
      <path
        d="M12 2.5v4.5M21.5 12H17M12 21.5V17M2.5 12H7M18.7 5.3l-3.2 3.2M18.7 18.7l-3.2-3.2M5.3 18.7l3.2-3.2M5.3 5.3l3.2 3.2"
        strokeLinecap="round"
      />
    </svg>
  );
}
